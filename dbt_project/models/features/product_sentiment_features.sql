{{ config(alias='product_sentiment', tags=['sentiment']) }}

with scored as (
    select
        stg_review_sentiment.product_id,
        stg_review_sentiment.score,
        stg_reviews.reviewed_at >= {{ minus_days(as_of(), var('sentiment_recent_days')) }} as is_recent
    from {{ ref('stg_review_sentiment') }} as stg_review_sentiment
    inner join {{ ref('stg_reviews') }} as stg_reviews on stg_review_sentiment.review_id = stg_reviews.review_id
),

shop as (
    select {{ exact_sum('score') }} / count(*) as mean_score from scored
),

summed as (
    select
        product_id,
        count(*) as reviews,
        count(*) filter (where is_recent) as recent_reviews,
        {{ exact_sum('score') }} as total_score,
        {{ exact_sum('case when is_recent then score end') }} / nullif(count(*) filter (where is_recent), 0) as recent_score,
        {{ exact_sum('case when not is_recent then score end') }} / nullif(count(*) filter (where not is_recent), 0) as earlier_score
    from scored
    where product_id is not null
    group by product_id
),

-- Few reviews say little: (sum of scores + n * shop's mean) / (reviews + n).
judged as (
    select
        summed.product_id,
        summed.reviews,
        (summed.total_score + {{ var('sentiment_prior_reviews') }} * shop.mean_score)
        / (summed.reviews + {{ var('sentiment_prior_reviews') }}) as mean_score,
        summed.recent_score,
        summed.recent_score - summed.earlier_score as trend,
        coalesce(
            summed.earlier_score - summed.recent_score > {{ var('sentiment_alert_drop') }}
            and summed.recent_reviews >= {{ var('sentiment_alert_reviews') }},
            false
        ) as alert
    from summed
    cross join shop
)

select * from judged
order by product_id
