{{ config(materialized='view') }}

with events as (
    select customer_id, product_id, event_type, occurred_at from {{ ref('product_events') }}
),

-- What was done with a variant was done with the product.
variants as (
    select product_id, shown_product_id from {{ ref('product_variants') }}
    where product_id <> shown_product_id
),

-- A product on two lines of one order was bought once.
purchases as (
    select
        purchases.customer_id,
        coalesce(variants.shown_product_id, purchases.product_id) as product_id,
        'purchase' as event_type,
        purchases.purchased_at as occurred_at
    from {{ ref('purchases') }} as purchases
    left join variants on purchases.product_id = variants.product_id
    group by purchases.order_id, purchases.customer_id, coalesce(variants.shown_product_id, purchases.product_id), purchases.purchased_at
),

reviews as (
    select customer_id, product_id, 'review' as event_type, reviewed_at as occurred_at from {{ ref('stg_reviews') }}
    where product_id is not null
),

said as (
    select * from events
    union all
    select * from reviews
),

combined as (
    select
        said.customer_id,
        coalesce(variants.shown_product_id, said.product_id) as product_id,
        said.event_type,
        said.occurred_at
    from said
    left join variants on said.product_id = variants.product_id
    union all
    select * from purchases
)

select * from combined
