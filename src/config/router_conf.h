/* The routing part of a configuration, as plain data; see config.h for what that means. */
#pragma once

#include "base/base.h"
#include "base/str.h"
#include "config/place.h"
