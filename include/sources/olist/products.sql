-- Olist publishes neither titles nor prices of its products. The category is in English where there is a translation, else
-- as the shop writes it.
with names as (
    select product_category_name, min(product_category_name_english) as english from category_names group by product_category_name
)

select
    products.product_id,
    replace(coalesce(names.english, products.product_category_name), '_', ' ') as category,
    products._file,
    products._row
from products
left join names on products.product_category_name = names.product_category_name
