with customers as (
    select customer_id, consent_personalisation, registered_at from {{ ref('stg_customers') }}
),

ordering as (
    select
        customer_id,
        count(*) / sum(count(*)) over () as share,
        count(customer_id) over () as customers
    from {{ ref('stg_orders') }}
    group by customer_id
),

acting as (
    select
        customer_id,
        count(*) / sum(count(*)) over () as share,
        count(customer_id) over () as customers
    from {{ ref('stg_events') }}
    group by customer_id
),

-- Nobody buys a tenth of a shop: that is the till's guest, a reseller's robot, the shop's own people.
outlying as (
    select customer_id from ordering
    where share > {{ var('max_customer_share') }} and customers >= {{ var('outlying_min_customers') }}
    union
    select customer_id from acting
    where share > {{ var('max_customer_share') }} and customers >= {{ var('outlying_min_customers') }}
),

named as (
    select customer_id from customers
    union
    select customer_id from acting
    union
    select customer_id from ordering
    union
    select customer_id from {{ ref('stg_reviews') }}
    union
    select customer_id from {{ ref('stg_tickets') }}
),

joined as (
    select
        named.customer_id,
        coalesce(customers.consent_personalisation, true) as consent,
        outlying.customer_id is not null as is_outlying,
        coalesce(customers.consent_personalisation, true) and outlying.customer_id is null as trains,
        customers.registered_at
    from named
    left join customers on named.customer_id = customers.customer_id
    left join outlying on named.customer_id = outlying.customer_id
    where named.customer_id is not null
)

select * from joined
order by customer_id
