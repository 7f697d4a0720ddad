with days as (
    select cast(occurred_at as date) as active_date, count(*) as interactions from {{ ref('weighted_activity') }}
    group by cast(occurred_at as date)
),

counted as (
    select
        cast(active_date as timestamp) as starts_at,
        interactions,
        sum(interactions) over (order by active_date desc) as interactions_since,
        sum(interactions) over () as total
    from days
),

-- The latest midnight that leaves enough interactions after it, and at least the set days.
test as (
    select
        least(
            {{ midnight(minus_days(as_of(), var('test_days'))) }},
            max(starts_at) filter (where interactions_since >= {{ var('min_test_share') }} * total)
        ) as starts_at
    from counted
),

before_test as (
    select
        counted.starts_at,
        counted.total,
        sum(counted.interactions) over (order by counted.starts_at desc) as interactions_since,
        sum(counted.interactions) over () as total_before_test
    from counted
    cross join test
    where counted.starts_at < test.starts_at
),

-- A young shop's validation days must leave something to train on: at most a third of what lies before the test days.
validation as (
    select
        coalesce(
            greatest(
                least(
                    {{ minus_days('any_value(test.starts_at)', var('validation_days')) }},
                    max(before_test.starts_at) filter (
                        where before_test.interactions_since >= {{ var('min_test_share') }} * before_test.total
                    )
                ),
                min(before_test.starts_at) filter (where before_test.interactions_since <= before_test.total_before_test / 3)
            ),
            {{ minus_days('any_value(test.starts_at)', var('validation_days')) }}
        ) as starts_at
    from test
    left join before_test on true
),

combined as (
    select
        'train' as split,
        least((select min(counted.starts_at) from counted), validation.starts_at) as starts_at,
        validation.starts_at as ends_at
    from validation
    union all
    select 'validation' as split, validation.starts_at, test.starts_at as ends_at
    from validation
    cross join test
    union all
    select 'test' as split, test.starts_at, {{ as_of() }} as ends_at
    from test
)

select * from combined
order by starts_at, ends_at
