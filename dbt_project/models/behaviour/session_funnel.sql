with sessions as (
    select customer_id, visitor_id, started_at, ended_at, views, carts from {{ ref('sessions') }}
),

orders as (
    select distinct order_id, customer_id, purchased_at from {{ ref('purchases') }}
    where customer_id is not null
),

-- An order belongs to the session it was placed in, or within the gap after it.
ordering_sessions as (
    select distinct sessions.visitor_id, sessions.started_at
    from orders
    inner join sessions
        on orders.customer_id = sessions.customer_id
        and orders.purchased_at >= sessions.started_at
        and {{ minus_minutes('orders.purchased_at', var('session_gap_minutes')) }} <= sessions.ended_at
),

joined as (
    select
        cast(sessions.started_at as date) as session_date,
        sessions.views > 0 as viewed,
        sessions.carts > 0 as carted,
        ordering_sessions.visitor_id is not null as ordered
    from sessions
    left join ordering_sessions
        on sessions.visitor_id = ordering_sessions.visitor_id and sessions.started_at = ordering_sessions.started_at
),

counted as (
    select
        session_date,
        count(*) as sessions,
        count(*) filter (where viewed) as viewing_sessions,
        count(*) filter (where carted) as carting_sessions,
        count(*) filter (where ordered) as ordering_sessions
    from joined
    group by session_date
)

select * from counted
order by session_date
