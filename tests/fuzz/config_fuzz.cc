// sterna.toml. What the server says about its settings must lead to the same settings again.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "base/unique_fd.h"
#include "input.h"
#include "server/config.h"

namespace sterna::fuzz {
namespace {

Result<std::vector<server::Setting>> read(std::string_view text) {
  const UniqueFd file(::memfd_create("sterna.toml", MFD_CLOEXEC));
  must(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
       "a file in memory");
  return server::read_settings_file("/proc/self/fd/" + std::to_string(file.get()));
}

}  // namespace
}  // namespace sterna::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna;        // NOLINT(google-build-using-namespace): this program's own
  using namespace sterna::fuzz;  // NOLINT(google-build-using-namespace): this program's own
  const server::Machine machine{.is_root = false,
                                .home = "/home/user",
                                .executable = "/usr/bin/sterna",
                                .pythons = {"/usr/bin/python3"},
                                .nodes = {},
                                .cxx = {}};
  const auto settings = read(text_of(data, size));
  if (!settings) {
    must(!settings.error().detail.empty(), "a refusal says what is wrong");
    return 0;
  }
  server::Config config = server::default_config(machine);
  if (!server::apply_settings(config, *settings)) return 0;
  (void)server::validate(config);
  const std::string written = server::to_toml(config);
  const auto again = read(written);
  if (!again) std::cerr << again.error().detail << '\n' << written;
  must(again.has_value(), "what is written can be read");
  server::Config same = server::default_config(machine);
  must(server::apply_settings(same, *again).has_value(), "what is written is accepted");
  must(server::to_toml(same) == written, "what is written means the same");
  return 0;
}
