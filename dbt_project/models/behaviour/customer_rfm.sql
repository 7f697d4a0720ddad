with customers as (
    select customer_id, trains from {{ ref('known_customers') }}
),

days as (
    select
        customer_id,
        cast(occurred_at as date) as active_date,
        max(occurred_at) as last_at
    from {{ ref('activity') }}
    where customer_id is not null
    group by customer_id, cast(occurred_at as date)
),

seen as (
    select
        customer_id,
        count(*) as active_days,
        max(last_at) as last_seen_at,
        (max(active_date) - min(active_date)) / (count(*) - 1.0) as gap_days
    from days
    group by customer_id
),

-- Where lines have no price the order's total counts.
orders as (
    select
        purchases.order_id,
        purchases.customer_id,
        coalesce(sum(purchases.amount), max(stg_orders.total)) as amount
    from {{ ref('purchases') }} as purchases
    inner join {{ ref('stg_orders') }} as stg_orders on purchases.order_id = stg_orders.order_id
    where purchases.customer_id is not null
    group by purchases.order_id, purchases.customer_id
),

spent as (
    select
        customer_id,
        count(*) as frequency,
        cast(sum(amount) as decimal(18, 2)) as monetary
    from orders
    group by customer_id
),

returning_customers as (
    select
        coalesce({{ median_of('gap_days') }}, 0) as usual_gap_days,
        {{ quantile_of('active_days', var('loyal_quantile')) }} as loyal_days
    from seen
    where active_days > 1
),

joined as (
    select
        customers.customer_id,
        customers.trains,
        coalesce(seen.active_days, 0) as active_days,
        seen.last_seen_at,
        {{ days_between('seen.last_seen_at', as_of()) }} as recency_days,
        greatest(seen.gap_days, returning_customers.usual_gap_days) as gap_days,
        returning_customers.loyal_days,
        coalesce(spent.frequency, 0) as frequency,
        coalesce(spent.monetary, 0) as monetary
    from customers
    left join seen on customers.customer_id = seen.customer_id
    left join spent on customers.customer_id = spent.customer_id
    cross join returning_customers
),

-- What a customer did who trains nothing does not choose a segment either.
segmented as (
    select
        customer_id,
        {{ segment_of('case when trains then active_days else 0 end', 'recency_days', 'gap_days', 'loyal_days') }} as segment,
        active_days,
        recency_days,
        cast(frequency as bigint) as frequency,
        cast(monetary as decimal(18, 2)) as monetary,
        last_seen_at
    from joined
)

select * from segmented
order by customer_id
