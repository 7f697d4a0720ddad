with released as (
    select
        product_id,
        raised_at,
        score_before,
        score_then,
        unhappy_then,
        reviews_then,
        p_value,
        q_value,
        cleared_at,
        cleared_because,
        '{{ of_night("release_id") }}' as release_id
    from {{ ref('alert_history') }}
)

select * from released
order by product_id, raised_at
