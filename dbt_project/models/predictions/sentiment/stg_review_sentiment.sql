with source as (
    {{ read_predictions('sentiment', 'review_sentiment', {
        'review_id': 'varchar',
        'product_id': 'varchar',
        'sentiment': 'varchar',
        'score': 'double',
        'p_negative': 'double',
        'p_neutral': 'double',
        'p_positive': 'double',
        'model_version': 'varchar'
    }) }}
)

select * from source
