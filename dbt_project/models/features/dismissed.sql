with dismissed as (
    select customer_id, product_id, min(occurred_at) as dismissed_at from {{ ref('stg_events') }}
    where event_type = 'not_interested' and customer_id is not null and product_id is not null
    group by customer_id, product_id
)

select * from dismissed
order by customer_id, product_id
