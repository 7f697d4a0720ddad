with source as (
    select * from {{ source('raw', 'order_items') }}
    where {{ visible_at_night() }}
),

orders as (
    select order_id, ordered_at from {{ ref('stg_orders') }}
),

renamed as (
    select
        source.order_id,
        source.line_number,
        source.product_id,

        source.quantity,
        source.returned_quantity,
        source.unit_price,

        orders.ordered_at
    from source
    inner join orders on source.order_id = orders.order_id
)

select * from renamed
