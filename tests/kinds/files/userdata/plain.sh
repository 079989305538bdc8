#!/bin/bash
echo "${HOME}" {{ as it is }}
