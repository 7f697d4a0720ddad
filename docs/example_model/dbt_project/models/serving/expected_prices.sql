with source as (
    {{ read_predictions('price', 'expected_prices', {'product_id': 'varchar', 'expected_price': 'double'}) }}
),

released as (
    select
        product_id,
        expected_price,
        '{{ of_night("release_id") }}' as release_id
    from source
)

select * from released
order by product_id
