with source as (
    select * from {{ source('raw', 'events') }}
    where {{ visible_at_night('occurred_at') }}
),

renamed as (
    select
        event_id,
        customer_id,
        session_id,
        product_id,
        campaign_id,
        release_id,

        event_type,
        query,

        position,

        occurred_at
    from source
)

select * from renamed
