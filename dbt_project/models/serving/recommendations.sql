with predicted as (
    {{ read_predictions('recommendations', {
        'customer_id': 'varchar',
        'rank': 'integer',
        'product_id': 'varchar',
        'score': 'double',
        'strategy': 'varchar',
        'reason': 'varchar',
        'because_product_id': 'varchar'
    }) }}
),

released as (
    select
        *,
        '{{ var("release_id") }}' as release_id
    from predicted
)

select * from released
order by customer_id, rank
