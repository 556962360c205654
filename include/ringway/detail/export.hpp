// Marks what the shared library offers; everything else in it is hidden.
#pragma once

#define RINGWAY_EXPORT __attribute__((visibility("default")))
