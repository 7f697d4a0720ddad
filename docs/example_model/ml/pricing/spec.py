"""What the platform has to know of the price model."""

from __future__ import annotations

from ml.pricing.config import PriceConfig

from ml.model_spec import ModelSpec, ReportTable

FAR_OFF = """
    SELECT coalesce(title, product_id) AS product, price, round(expected_price, 2) AS expected
    FROM serving.expected_prices JOIN features.products USING (product_id)
    WHERE price > 2 * expected_price ORDER BY price / expected_price DESC, product_id LIMIT 10"""

SPECS = (
    ModelSpec(
        name="price",
        title="Learn what products of a category cost.",
        model="ml.pricing.price_model:PriceModel",
        config=PriceConfig,
        reads=("products", "splits"),
        writes=("expected_prices",),
        prefix="price_",
        settings=("doubt",),
        report=(ReportTable("Products far from their expected price", FAR_OFF, if_empty="No product costs twice what is expected."),),
    ),
)
