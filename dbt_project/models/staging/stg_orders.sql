with source as (
    select * from {{ source('raw', 'orders') }}
    where {{ visible_at_night('ordered_at') }} and not coalesce(is_test, false)
),

renamed as (
    select
        order_id,
        customer_id,
        campaign_id,

        case
            when status in ('shipped', 'delivered') and shipped_at >= {{ as_of() }} then 'processing'
            when status = 'delivered' and delivered_at >= {{ as_of() }} then 'shipped'
            else status
        end as status,
        currency,

        total,

        ordered_at,
        promised_at,
        {{ known_at_night('shipped_at') }} as shipped_at,
        {{ known_at_night('delivered_at') }} as delivered_at
    from source
)

select * from renamed
