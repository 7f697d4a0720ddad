{{ config(materialized='view') }}

with events as (
    select customer_id, product_id, event_type, occurred_at from {{ ref('product_events') }}
),

-- A product on two lines of one order was bought once.
purchases as (
    select customer_id, product_id, 'purchase' as event_type, purchased_at as occurred_at from {{ ref('purchases') }}
    group by order_id, customer_id, product_id, purchased_at
),

reviews as (
    select customer_id, product_id, 'review' as event_type, reviewed_at as occurred_at from {{ ref('stg_reviews') }}
    where product_id is not null
),

combined as (
    select * from events
    union all
    select * from purchases
    union all
    select * from reviews
)

select * from combined
