"""From a patient, a view and a technique to a radiograph."""
