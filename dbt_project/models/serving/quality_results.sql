-- The serving gate comes after this table is made; publishing adds its results.
with checked as (
    {{ read_parquet_if_any([of_night('quality_dir') ~ '/raw.parquet', of_night('quality_dir') ~ '/features.parquet'], {
        'suite': 'varchar',
        'table_name': 'varchar',
        'expectation': 'varchar',
        'success': 'boolean',
        'observed': 'varchar',
        'severity': 'varchar'
    }) }}
),

released as (
    select
        *,
        '{{ of_night("release_id") }}' as release_id
    from checked
)

select * from released
order by suite, table_name, expectation, observed
