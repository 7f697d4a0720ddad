{{ config(materialized='parquet') }}

-- Reviews of any variant are about the product.
with judged as (
    select
        coalesce(variants.shown_product_id, sentiment.product_id) as shown_product_id,
        case
            when count(*) = 1 then max(sentiment.mean_score)
            else {{ exact_sum('sentiment.mean_score * sentiment.reviews') }} / sum(sentiment.reviews)
        end as mean_score,
        sum(sentiment.reviews) as reviews
    from {{ ref('product_sentiment_features') }} as sentiment
    left join {{ ref('product_variants') }} as variants on sentiment.product_id = variants.product_id
    group by coalesce(variants.shown_product_id, sentiment.product_id)
),

variants as (
    select product_id, shown_product_id from {{ ref('product_variants') }}
    where is_product
),

disliked as (
    select
        'least_sentiment' as rule_id,
        'block' as kind,
        coalesce(variants.product_id, judged.shown_product_id) as product_id,
        cast(null as varchar) as segment,
        cast(null as integer) as value
    from judged
    left join variants on judged.shown_product_id = variants.shown_product_id
    where judged.mean_score < {{ var('least_sentiment') }} and judged.reviews >= {{ var('least_sentiment_reviews') }}
)

select * from disliked
order by product_id
