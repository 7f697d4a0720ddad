with source as (
    select * from {{ source('raw', 'payments') }}
    where {{ visible_at_night('paid_at') }}
),

orders as (
    select order_id, ordered_at from {{ ref('stg_orders') }}
),

renamed as (
    select
        source.order_id,
        source.payment_sequence,

        source.method,

        source.installments,
        source.amount,

        coalesce(source.paid_at, orders.ordered_at) as paid_at
    from source
    inner join orders on source.order_id = orders.order_id
)

select * from renamed
