with released as (
    select
        product_id,
        reviews,
        mean_score,
        recent_score,
        trend,
        alert,
        '{{ of_night("release_id") }}' as release_id,
        trend_error,
        p_value,
        q_value,
        recent_reviews
    from {{ ref('product_sentiment_features') }}
)

select * from released
order by product_id
