with predicted as (
    {{ read_parquet_if_any([of_night('predictions_dir') ~ '/metrics_*.parquet'], {
        'model': 'varchar',
        'role': 'varchar',
        'metric': 'varchar',
        'value': 'double',
        'baseline': 'varchar',
        'baseline_value': 'double',
        'split': 'varchar',
        'evaluated_at': 'timestamp'
    }) }}
),

released as (
    select
        *,
        '{{ of_night("release_id") }}' as release_id
    from predicted
)

select * from released
order by model, role, split, metric
