with source as (
    select * from {{ source('raw', 'tickets') }}
    where {{ visible_at_night('opened_at') }}
),

renamed as (
    select
        ticket_id,
        customer_id,
        order_id,
        product_id,

        subject,
        text,
        intent,

        opened_at,
        {{ known_at_night('closed_at') }} as closed_at
    from source
)

select * from renamed
