{{ config(materialized='table') }}

-- Copies are no independent voices: they weigh less, and no test of chance counts them. A burst does count there: it may be news.
with copies as (
    select distinct review_id from {{ ref('review_suspicions') }}
    where reason <> 'burst'
),

scored as (
    select
        stg_review_sentiment.product_id,
        stg_review_sentiment.score,
        reviews.weight,
        reviews.reviewed_at,
        reviews.weight * power(0.5, {{ days_between('reviews.reviewed_at', as_of()) }} / {{ var('sentiment_half_life_days') }})
            as faded_weight,
        reviews.reviewed_at >= {{ minus_days(as_of(), var('sentiment_recent_days')) }} as is_recent,
        reviews.reviewed_at < {{ minus_days(as_of(), var('sentiment_recent_days')) }}
        and reviews.reviewed_at >= {{ minus_days(as_of(), var('sentiment_recent_days') + var('sentiment_earlier_days')) }} as is_earlier,
        copies.review_id is null as is_counted
    from {{ ref('stg_review_sentiment') }} as stg_review_sentiment
    inner join {{ ref('reviews') }} as reviews on stg_review_sentiment.review_id = reviews.review_id
    left join copies on stg_review_sentiment.review_id = copies.review_id
),

shop as (
    select {{ exact_sum('faded_weight * score') }} / nullif({{ exact_sum('faded_weight') }}, 0) as mean_score from scored
),

summed as (
    select
        product_id,
        count(*) as reviews,
        max(reviewed_at) as last_reviewed_at,
        {{ exact_sum('faded_weight * score') }} as faded_score,
        {{ exact_sum('faded_weight') }} as faded_weight,
        {{ exact_sum('case when is_recent then weight * score end') }}
        / nullif({{ exact_sum('case when is_recent then weight end') }}, 0) as recent_score,
        {{ exact_sum('case when is_earlier then weight * score end') }}
        / nullif({{ exact_sum('case when is_earlier then weight end') }}, 0) as earlier_score,
        count(*) filter (where is_recent and is_counted) as recent_reviews,
        count(*) filter (where is_earlier and is_counted) as earlier_reviews,
        count(*) filter (where is_recent and is_counted and score < 0) as recent_unhappy,
        count(*) filter (where is_earlier and is_counted and score < 0) as earlier_unhappy,
        coalesce({{ exact_sum('case when is_recent and is_counted then score end') }}, 0) as recent_sum,
        coalesce({{ exact_sum('case when is_earlier and is_counted then score end') }}, 0) as earlier_sum,
        coalesce({{ exact_sum('case when is_counted and (is_recent or is_earlier) then score * score end') }}, 0) as squares
    from scored
    where product_id is not null
    group by product_id
),

-- Squares about the mean of each side, and what is left of the reviews to estimate their variance from.
spread as (
    select
        *,
        squares - coalesce(recent_sum * recent_sum / nullif(recent_reviews, 0), 0)
        - coalesce(earlier_sum * earlier_sum / nullif(earlier_reviews, 0), 0) as squares_within,
        greatest(0, recent_reviews + earlier_reviews - cast(recent_reviews > 0 as integer) - cast(earlier_reviews > 0 as integer))
            as degrees
    from summed
),

usual as (
    select coalesce({{ exact_sum('squares_within') }} / nullif(sum(degrees), 0), 0.25) as variance from spread
),

-- A product's own variance is drawn to the shop's where its reviews are few (a moderated variance: Smyth, 2004).
judged as (
    select
        spread.product_id,
        spread.reviews,
        spread.last_reviewed_at,
        (spread.faded_score + {{ var('sentiment_prior_reviews') }} * shop.mean_score)
        / (spread.faded_weight + {{ var('sentiment_prior_reviews') }}) as mean_score,
        spread.recent_score,
        spread.earlier_score,
        spread.recent_reviews,
        spread.earlier_reviews,
        spread.recent_unhappy,
        spread.earlier_unhappy,
        greatest(0, spread.squares_within + {{ var('sentiment_prior_reviews') }} * usual.variance)
        / (spread.degrees + {{ var('sentiment_prior_reviews') }}) as variance
    from spread
    cross join shop
    cross join usual
),

-- Are unhappy reviews oftener among the recent ones than chance would deal them? Exact, so that a handful of reviews, which no normal
-- curve fits, raises no more false alarms than a thousand. Scores themselves lie at both ends with little between.
tested as (
    select
        product_id,
        {{ fisher_tail('recent_unhappy', 'recent_reviews', '(recent_unhappy + earlier_unhappy)', '(recent_reviews + earlier_reviews)') }}
            as p_value
    from judged
    where recent_reviews >= {{ var('sentiment_alert_reviews') }} and earlier_reviews >= {{ var('sentiment_alert_reviews') }}
),

-- The false discovery rate at which each fall would just be called one (Benjamini and Hochberg, 1995).
ranked as (
    select
        product_id,
        p_value,
        p_value * count(*) over () / count(*) over (order by p_value) as rate
    from tested
),

corrected as (
    select
        product_id,
        p_value,
        least(1, min(rate) over (order by p_value desc)) as q_value
    from ranked
),

opinions as (
    select
        judged.product_id,
        judged.reviews,
        judged.mean_score,
        judged.recent_score,
        judged.earlier_score,
        judged.recent_score - judged.earlier_score as trend,
        sqrt(judged.variance * (1.0 / nullif(judged.recent_reviews, 0) + 1.0 / nullif(judged.earlier_reviews, 0))) as trend_error,
        sqrt(judged.variance / nullif(judged.recent_reviews, 0)) as recent_error,
        corrected.p_value,
        corrected.q_value,
        judged.recent_reviews,
        judged.earlier_reviews,
        judged.recent_unhappy,
        judged.earlier_unhappy,
        coalesce(
            corrected.q_value <= {{ var('sentiment_alert_fdr') }}
            and judged.recent_score - judged.earlier_score <= -{{ var('sentiment_alert_drop') }},
            false
        ) as has_fallen,
        judged.last_reviewed_at
    from judged
    left join corrected on judged.product_id = corrected.product_id
)

select * from opinions
order by product_id
