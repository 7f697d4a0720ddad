with customers as (
    select customer_id, consent_personalisation, registered_at from {{ ref('stg_customers') }}
),

named as (
    select customer_id from customers
    union
    select customer_id from {{ ref('stg_events') }}
    union
    select customer_id from {{ ref('stg_orders') }}
    union
    select customer_id from {{ ref('stg_reviews') }}
    union
    select customer_id from {{ ref('stg_tickets') }}
),

joined as (
    select
        named.customer_id,
        coalesce(customers.consent_personalisation, true) as consent,
        customers.registered_at
    from named
    left join customers on named.customer_id = customers.customer_id
    where named.customer_id is not null
)

select * from joined
order by customer_id
