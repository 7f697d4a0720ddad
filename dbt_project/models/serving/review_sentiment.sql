with released as (
    select
        review_id,
        product_id,
        sentiment,
        score,
        p_negative,
        p_neutral,
        p_positive,
        model_version,
        '{{ of_night("release_id") }}' as release_id
    from {{ ref('stg_review_sentiment') }}
)

select * from released
order by review_id
