with seen as (
    select customer_id, count(*) as interactions, max(occurred_at) as last_seen_at from {{ ref('interactions') }}
    group by customer_id
),

joined as (
    select
        known_customers.customer_id,
        customer_rfm.segment,
        known_customers.consent,
        coalesce(seen.interactions, 0) as interactions,
        seen.last_seen_at,
        known_customers.registered_at
    from {{ ref('known_customers') }} as known_customers
    inner join {{ ref('customer_rfm') }} as customer_rfm on known_customers.customer_id = customer_rfm.customer_id
    left join seen on known_customers.customer_id = seen.customer_id
)

select * from joined
order by customer_id
