with repeatable as (
    select product_id from {{ ref('product_activity') }}
    where is_repeatable
),

owned as (
    select
        interactions.customer_id,
        interactions.product_id,
        min(interactions.occurred_at) as first_at
    from {{ ref('interactions') }} as interactions
    left join repeatable on interactions.product_id = repeatable.product_id
    where interactions.event_type in ('purchase', 'review') and repeatable.product_id is null
    group by interactions.customer_id, interactions.product_id
)

select * from owned
order by customer_id, product_id
