{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    incremental_predicates=["ended_at >= {{ minus_minutes(rebuild_from(), var('session_gap_minutes')) }}"]
) }}

-- Visitors nobody knows are told apart by the shop front's session id.
with events as (
    select
        coalesce(customer_id, 'session:' || session_id) as visitor_id,
        customer_id,
        event_type,
        occurred_at
    from {{ ref('stg_events') }}
    where customer_id is not null or session_id is not null
),

{% if is_incremental() -%}
-- A session that may go on after the rebuilt moment is made again, and with it all that its visitor did since.
reopened as (
    select visitor_id, min(started_at) as started_at from {{ this }}
    where ended_at >= {{ minus_minutes(rebuild_from(), var('session_gap_minutes')) }}
    group by visitor_id
),

recent as (
    select events.*
    from events
    left join reopened on events.visitor_id = reopened.visitor_id
    where events.occurred_at >= least({{ rebuild_from() }}, coalesce(reopened.started_at, {{ rebuild_from() }}))
),
{%- else -%}
recent as (
    select * from events
),
{%- endif %}

spaced as (
    select
        *,
        lag(occurred_at) over (partition by visitor_id order by occurred_at) as previous_at
    from recent
),

numbered as (
    select
        *,
        count(*) filter (
            where previous_at is null or previous_at < {{ minus_minutes('occurred_at', var('session_gap_minutes')) }}
        ) over (partition by visitor_id order by occurred_at) as session_number
    from spaced
),

sessions as (
    select
        visitor_id,
        max(customer_id) as customer_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as events,
        count(*) filter (where event_type = 'view') as views,
        count(*) filter (where event_type = 'cart') as carts,
        count(*) filter (where event_type = 'search') as searches,
        count(*) filter (where event_type = 'recommendation_click') as recommendation_clicks
    from numbered
    group by visitor_id, session_number
)

select * from sessions
