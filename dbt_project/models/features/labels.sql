with targets as (
    select
        customer_id,
        product_id,
        split,
        min(occurred_at) as first_at
    from {{ ref('interactions') }}
    where is_target and split in ('validation', 'test')
    group by customer_id, product_id, split
)

select * from targets
order by split, customer_id, product_id
