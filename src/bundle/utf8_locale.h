// libarchive turns names into the locale's encoding and cannot do so beyond ASCII in "C" (its pax writer even
// crashes). This makes one thread's locale C.UTF-8, which glibc has built in, for one scope.
#pragma once

#include <clocale>

#include "base/error.h"

namespace sterna::bundle {

class Utf8Locale {
 public:
  Utf8Locale() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    STERNA_ASSERT(locale_ != nullptr);
    before_ = ::uselocale(locale_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;
  ~Utf8Locale() {
    ::uselocale(before_);
    ::freelocale(locale_);
  }

 private:
  locale_t locale_;
  locale_t before_ = nullptr;
};

}  // namespace sterna::bundle
