with splits as (
    select split, starts_at from {{ ref('splits') }}
    where split in ('validation', 'test')
),

targets as (
    select
        interactions.customer_id,
        interactions.product_id,
        interactions.split,
        splits.starts_at,
        min(interactions.occurred_at) as first_at
    from {{ ref('interactions') }} as interactions
    inner join splits on interactions.split = splits.split
    where interactions.is_target
    group by interactions.customer_id, interactions.product_id, interactions.split, splits.starts_at
),

-- What the customer had before the split began is never recommended, so it is nothing to be found.
findable as (
    select targets.customer_id, targets.product_id, targets.split, targets.first_at
    from targets
    left join {{ ref('owned') }} as owned
        on targets.customer_id = owned.customer_id
        and targets.product_id = owned.product_id
        and targets.starts_at > owned.first_at
    where owned.customer_id is null
)

select * from findable
order by split, customer_id, product_id
