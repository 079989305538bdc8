#!/bin/bash
# {{ purpose }}
echo "${HOME}" {{ table }}
{% include "settings.sh" %}
