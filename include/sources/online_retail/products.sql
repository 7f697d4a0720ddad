-- The catalogue is what the invoices name. Title and price are those most often charged: lines at no price carry stock
-- keepers' notes ('damaged', '?') where the title should be. Codes that do not begin with five digits and are no gift
-- (DCGS..., PADS) or voucher (gift_...) are postage, fees and corrections.
with lines as (
    select
        upper(trim(StockCode)) as product_id,
        nullif(trim(Description), '') as title,
        try_cast(UnitPrice as decimal(18, 2)) as price
    from invoice_lines
    where trim(StockCode) <> ''
),

codes as (
    select distinct product_id, regexp_matches(product_id, '^([0-9]{5}|DCGS|PADS|GIFT_)') as is_goods from lines
),

titles as (
    select product_id, title, count(*) filter (price > 0) as sales, count(*) as times
    from lines
    where title is not null
    group by product_id, title
),

named as (
    select product_id, arg_max(title, (sales, times, title)) as title from titles group by product_id
),

prices as (
    select product_id, price, count(*) as times
    from lines
    where price > 0
    group by product_id, price
),

charged as (
    select product_id, arg_max(price, (times, price)) as price from prices group by product_id
)

select
    codes.product_id,
    named.title,
    case when not codes.is_goods then 'Service' end as category,
    charged.price,
    case when charged.price is not null then 'GBP' end as currency,
    not codes.is_goods as is_hidden
from codes
left join named on codes.product_id = named.product_id
left join charged on codes.product_id = charged.product_id
