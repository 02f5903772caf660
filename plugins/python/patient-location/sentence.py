from location import parse, patient_of_tombstone


def sentence(key: bytes | None, value: bytes | None) -> bytes | None:
    """The output's value; none for a tombstone, which is passed on."""
    if value is None:
        patient_of_tombstone(key)
        return None
    location = parse(value)
    return f"Patient {location.patient_id} at location ({plain(location.lat)}, {plain(location.lon)})".encode()


def plain(number: float) -> str:
    """A number in its shortest form, without an exponent and without `.0`."""
    digits, _, exponent = repr(number).partition("e-")
    if not exponent:
        return digits.removesuffix(".0")
    sign = "-" if number < 0 else ""
    return f"{sign}0.{'0' * (int(exponent) - 1)}{digits.lstrip('-').replace('.', '')}"
