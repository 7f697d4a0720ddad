with released as (
    select
        ticket_id,
        product_id,
        sentiment,
        score,
        p_negative,
        p_neutral,
        p_positive,
        model_version,
        '{{ of_night("release_id") }}' as release_id
    from {{ ref('stg_ticket_sentiment') }}
)

select * from released
order by ticket_id
