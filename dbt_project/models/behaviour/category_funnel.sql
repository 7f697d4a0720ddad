with categories as (
    select product_id, category from {{ ref('stg_products') }}
),

shoppers as (
    select activity_date, product_id, viewers, carters, 0 as buyers from {{ ref('product_days') }}
    union all
    select
        cast(purchased_at as date) as activity_date,
        product_id,
        0 as viewers,
        0 as carters,
        count(distinct coalesce(customer_id, order_id)) as buyers
    from {{ ref('purchases') }}
    group by cast(purchased_at as date), product_id
),

counted as (
    select
        shoppers.activity_date,
        coalesce(categories.category, 'uncategorised') as category,
        cast(sum(shoppers.viewers) as bigint) as viewers,
        cast(sum(shoppers.carters) as bigint) as carters,
        cast(sum(shoppers.buyers) as bigint) as buyers
    from shoppers
    left join categories on shoppers.product_id = categories.product_id
    group by shoppers.activity_date, coalesce(categories.category, 'uncategorised')
)

select * from counted
order by activity_date, category
