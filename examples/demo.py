"""Adds up a shop's orders, city by city."""

import csv


def totals_by_city(path):
    """Return a dict from city to the sum of its amounts.

    The CSV file has a header line and the columns "city" and "amount".
    """
    totals = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            <|cursor|>
    return totals


if __name__ == "__main__":
    for city, total in sorted(totals_by_city("orders.csv").items()):
        print(f"{city:20} {total:10.2f}")
