-- The products have no names: type and package say what a thing is. Fuel, coupons, donations and the till's own entries
-- are no goods to recommend.
select
    product_id,
    nullif(concat_ws(', ', coalesce(product_type, product_category), package_size), '') as title,
    category_path([department, product_category, product_type]) as category,
    case brand when 'National' then 'Maker ' || manufacturer_id else brand end as brand,
    department in (
        'FUEL', 'COUPON', 'MISCELLANEOUS', 'CNTRL/STORE SUP', 'CHARITABLE CONT', 'POSTAL CENTER', 'PROD-WHS SALES', 'GM MERCH EXP'
    ) as is_hidden,
    _file,
    _row
from products
