with variants as (
    select product_id, shown_product_id from {{ ref('product_variants') }}
    where is_product
),

-- Whose account is many people's, or who wants no personal list, is shown what everybody is.
customers as (
    select known_customers.customer_id, customer_rfm.segment
    from {{ ref('known_customers') }} as known_customers
    inner join {{ ref('customer_rfm') }} as customer_rfm on known_customers.customer_id = customer_rfm.customer_id
    where known_customers.trains
),

blocks as (
    select product_id, segment from {{ ref('rules') }}
    where kind = 'block' and segment is not null
),

taken as (
    select
        purchases.customer_id,
        variants.shown_product_id,
        variants.product_id,
        products.category,
        row_number() over (
            partition by purchases.customer_id, variants.shown_product_id
            order by purchases.purchased_at desc, variants.product_id asc
        ) as place
    from {{ ref('purchases') }} as purchases
    inner join variants on purchases.product_id = variants.product_id
    inner join customers on purchases.customer_id = customers.customer_id
    inner join {{ ref('products') }} as products on variants.product_id = products.product_id
    left join blocks on variants.product_id = blocks.product_id and customers.segment = blocks.segment
    where products.is_available and blocks.product_id is null
),

latest as (
    select customer_id, shown_product_id, product_id, category from taken
    where place = 1 and product_id <> shown_product_id
)

select * from latest
order by customer_id, shown_product_id
