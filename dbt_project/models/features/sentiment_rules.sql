{{ config(tags=['sentiment']) }}

with disliked as (
    select
        'least_sentiment' as rule_id,
        'block' as kind,
        product_id,
        cast(null as varchar) as segment,
        cast(null as integer) as value
    from {{ ref('product_sentiment_features') }}
    where mean_score < {{ var('least_sentiment') }} and reviews >= {{ var('least_sentiment_reviews') }}
)

select * from disliked
order by product_id
