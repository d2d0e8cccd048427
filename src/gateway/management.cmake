# The management API's part of the gateway; openapi.json is built into the program.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/openapi.json)
file(READ openapi.json STERNA_OPENAPI_JSON)
configure_file(management_openapi.cc.in management_openapi.cc @ONLY)
set(MANAGEMENT_SOURCES
  management.cc management_apps.cc management_audit.cc management_code.cc management_functions.cc management_request.cc management_route.cc management_sandbox.cc
  management_secrets.cc management_spaces.cc management_traffic.cc management_versions.cc ${CMAKE_CURRENT_BINARY_DIR}/management_openapi.cc)
set(MANAGEMENT_LINKS sterna_audit sterna_callback sterna_registry sterna_bundle)
set(MANAGEMENT_TESTS management_test.cc management_apps_test.cc management_audit_test.cc management_code_test.cc management_secrets_test.cc management_traffic_test.cc management_versions_test.cc openapi_test.cc)
