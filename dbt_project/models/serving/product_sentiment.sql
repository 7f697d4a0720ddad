with released as (
    select
        product_id,
        reviews,
        mean_score,
        recent_score,
        trend,
        alert,
        '{{ of_night("release_id") }}' as release_id
    from {{ ref('product_sentiment_features') }}
)

select * from released
order by product_id
