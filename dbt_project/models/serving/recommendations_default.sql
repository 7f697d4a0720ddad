with predicted as (
    {{ read_predictions('recommender', 'recommendations_default', {
        'segment': 'varchar',
        'rank': 'integer',
        'product_id': 'varchar',
        'score': 'double'
    }) }}
),

released as (
    select
        *,
        '{{ of_night("release_id") }}' as release_id
    from predicted
)

select * from released
order by segment, rank
