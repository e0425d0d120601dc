"""The table of part `sql` for SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, DateTime, Float, Integer, Numeric, String, Text
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class Customer(Base):
    """A customer."""

    __tablename__ = 'customer'

    id = Column(Integer, primary_key=True)
    name = Column(String(50))
    city = Column(Text)
    balance = Column(Numeric(12, 2))
    score = Column(Float)
    is_active = Column(Boolean)
    born = Column(Date)
    created = Column(DateTime)
