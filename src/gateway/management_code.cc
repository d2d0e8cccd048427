#include <algorithm>

#include "bundle/archive.h"
#include "bundle/source.h"
#include "gateway/management.h"
#include "gateway/management_request.h"

namespace sterna::gateway {
namespace {

bool is_gzip(std::string_view type) {
  return type == kGzipType || type == "application/x-gzip" || type == "application/x-tar+gzip";
}

std::expected<bundle::Files, api::Problem> unpacked(const ManagementRequest& request,
                                                    bundle::ArchiveKind kind, const api::FunctionSpec& spec,
                                                    std::uint64_t max_bytes) {
  Result<bundle::Files> files = bundle::unpack(request.body, kind, max_bytes);
  if (!files) return problem(files.error());
  if (Status handler = bundle::check_handler(*files, spec); !handler) return problem(handler.error());
  return std::move(*files);
}

std::expected<bundle::Files, api::Problem> code_of(const ManagementRequest& request,
                                                   const api::FunctionSpec& spec, std::uint64_t max_bytes) {
  const std::string type = content_type(request);
  if (type == kZipType) return unpacked(request, bundle::ArchiveKind::kZip, spec, max_bytes);
  if (is_gzip(type)) return unpacked(request, bundle::ArchiveKind::kTarGz, spec, max_bytes);
  if (!type.empty() && type != kJsonType) {
    return unsupported_media_type("application/json, application/zip or application/gzip");
  }
  const auto json = json_body(request);
  if (!json) return std::unexpected(json.error());
  return bundle::parse_source(*json, "", &spec, max_bytes);
}

// The first of the types that we have which `Accept` names; JSON when it names none.
std::string_view wanted_type(std::string_view accept) {
  while (!accept.empty()) {
    std::string_view item = accept.substr(0, accept.find(','));
    accept.remove_prefix(std::min(accept.size(), item.size() + 1));
    item = item.substr(0, item.find(';'));
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (item == kZipType) return kZipType;
    if (is_gzip(item)) return kGzipType;
    if (item == kJsonType) return kJsonType;
  }
  return kJsonType;
}

}  // namespace

Management::Answer Management::get_code(const Call& call) {
  const auto function = registry_.find(call.route.space, call.route.function);
  if (!function) return problem(function.error());
  if (function->newest.bundle.empty()) {
    return problem(Error{Code::kNotFound, Component::kRegistry, "no_code", "this function has no code yet"});
  }
  const auto files = bundles_.load(function->newest.bundle);
  if (!files) return problem(files.error());
  const std::string_view type = wanted_type(header_of(call.request, "accept"));
  if (type == kJsonType) return json_reply(200, bundle::source_json(*files, function->newest.spec));
  const bool zip = type == kZipType;
  Result<std::string> packed =
      bundle::pack(*files, zip ? bundle::ArchiveKind::kZip : bundle::ArchiveKind::kTarGz);
  if (!packed) return problem(packed.error());
  const std::string file_name = function->name + (zip ? ".zip" : ".tar.gz");
  return ManagementReply{200,
                         {{"Content-Type", std::string(type)},
                          {"Content-Disposition", "attachment; filename=\"" + file_name + "\""}},
                         std::move(*packed)};
}

Management::Answer Management::put_code(const Call& call) {
  const auto found = registry_.find(call.route.space, call.route.function);
  if (!found) return problem(found.error());
  // Unpacking may take long: before the lock, which others wait for.
  auto files = code_of(call.request, found->newest.spec, max_code_bytes_);
  if (!files) return std::unexpected(files.error());
  const std::scoped_lock lock(writes_);
  const auto before = registry_.find(call.route.space, call.route.function);
  if (!before) return problem(before.error());
  return save(call, before->newest.spec, std::move(*files));
}

}  // namespace sterna::gateway
