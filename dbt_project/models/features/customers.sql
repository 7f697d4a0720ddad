with seen as (
    select customer_id, count(*) as interactions, max(occurred_at) as last_seen_at from {{ ref('interactions') }}
    group by customer_id
),

ages as (
    select distinct value as minimum_age from {{ ref('rules') }}
    where kind = 'minimum_age'
),

-- Not how old the customer is, which is nobody's business, but which of the shop's minimum ages is reached.
of_age as (
    select stg_customers.customer_id, max(ages.minimum_age) as reached_age
    from {{ ref('stg_customers') }} as stg_customers
    inner join ages on stg_customers.age >= ages.minimum_age
    group by stg_customers.customer_id
),

joined as (
    select
        known_customers.customer_id,
        customer_rfm.segment,
        known_customers.trains as consent,
        coalesce(seen.interactions, 0) as interactions,
        seen.last_seen_at,
        known_customers.registered_at,
        coalesce(of_age.reached_age, 0) as reached_age
    from {{ ref('known_customers') }} as known_customers
    inner join {{ ref('customer_rfm') }} as customer_rfm on known_customers.customer_id = customer_rfm.customer_id
    left join seen on known_customers.customer_id = seen.customer_id
    left join of_age on known_customers.customer_id = of_age.customer_id
)

select * from joined
order by customer_id
