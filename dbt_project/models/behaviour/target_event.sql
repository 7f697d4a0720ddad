with ranked as (
    select min(case event_type when 'purchase' then 1 when 'review' then 2 when 'cart' then 3 when 'view' then 4 end) as priority
    from {{ ref('weighted_activity') }}
),

named as (
    select case priority when 1 then 'purchase' when 2 then 'review' when 3 then 'cart' else 'view' end as event_type
    from ranked
)

select * from named
